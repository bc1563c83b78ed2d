"""Table I as the source published it, known without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The networks that are trained by themselves, by the names of ``NETWORKS``.
TRAINABLE = ("flownet", "raft", "mimo-unet", "estrnn", "unet++", "deeplabv3+")


@dataclass(frozen=True)
class Published:
    """One row of Table I: means over the test set of Vident-real. None for what a network does not do.

    Attributes:
        psnr_db: of the enhanced picture.
        ssim: of the enhanced picture.
        epe_px: mean end-point error of the flow.
        iou: of the tooth mask.
        parameters_m: millions of parameters.
        fps: frames per second in PyTorch, on a GPU and at a frame size that the source does not name.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    epe_px: float | None = None
    iou: float | None = None
    parameters_m: float | None = None
    fps: float | None = None


#: The rows by the names of ``NETWORKS``, and of our variants. ``none`` is the row without a method: the frame, no flow,
#: all of it tooth.
TABLE1: Mapping[str, Published] = {
    "none": Published(psnr_db=17.80, ssim=0.829, epe_px=9.24, iou=0.270),
    "flownet": Published(epe_px=2.63, parameters_m=38.7, fps=52.7),
    "raft": Published(epe_px=1.81, parameters_m=5.3, fps=5.1),
    "mimo-unet": Published(psnr_db=25.83, ssim=0.967, parameters_m=6.8, fps=4.6),
    "estrnn": Published(psnr_db=28.65, ssim=0.977, parameters_m=2.3, fps=10.6),
    "unet++": Published(iou=0.730, parameters_m=50.0, fps=7.9),
    "deeplabv3+": Published(iou=0.746, parameters_m=26.7, fps=25.5),
    "combination": Published(psnr_db=28.65, ssim=0.977, epe_px=1.81, iou=0.746, parameters_m=34.3, fps=3.0),
    "sw": Published(psnr_db=29.96, ssim=0.972, epe_px=3.51, iou=0.685, parameters_m=13.2, fps=6.4),
    "dw": Published(psnr_db=29.97, ssim=0.969, epe_px=2.13, iou=0.716, parameters_m=29.8, fps=5.2),
}
