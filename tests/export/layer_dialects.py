"""The inspector's JSON in the dialects of TensorRT's versions, of one small graph.

The graph: ``net.a/conv2d`` is INT8 with a ReLU, ``net.b/conv2d_1`` FP16 with a sum, ``net.c/conv2d_2`` FP32.
"""

from __future__ import annotations

import json
from typing import Any

ASKED = {"net.a/conv2d": "INT8", "net.b/conv2d_1": "FP16", "net.c/conv2d_2": "FP32"}

#: Between nodes in ``Metadata``, bare where TensorRT writes them: no JSON that a strict reader takes.
CLASSIC_MARK, COMPILER_MARK = "\x1e", "\x1f"


def tensor(name: str, form: str) -> dict[str, Any]:
    return {"Name": name, "Location": "Device", "Dimensions": [1, 16, 8, 8], "Format/Datatype": form}


def written(layers: list[Any]) -> str:
    """As TensorRT writes it, control characters and all."""
    text = json.dumps({"Layers": layers, "Bindings": ["frame", "enhanced"]})
    return text.replace("\\u001e", CLASSIC_MARK).replace("\\u001f", COMPILER_MARK)


def classic() -> str:
    """8.6: convolutions named after the nodes fused into them, formats in sentences, types of weights, no metadata."""
    int8 = "Thirty-two wide channel vectorized row major Int8 format"
    half, single = "Channel major FP16 format where channel % 8 == 0", "Row major linear FP32"
    kernel = "sm80_xmma_fprop_implicit_gemm"
    return written(
        [
            {
                "Name": "Reformatting CopyNode for Input Tensor 0 to net.a/conv2d + net.a/relu",
                "LayerType": "Reformat",
                "Inputs": [tensor("x", single)],
                "Outputs": [tensor("y", int8)],
                "TacticValue": "0x00000000000003e8",
            },
            {
                "Name": "net.a.weight + net.a.weight_QuantizeLinear + net.a/conv2d + net.a/relu",
                "LayerType": "CaskConvolution",
                "Inputs": [tensor("y", int8)],
                "Outputs": [tensor("z", half)],
                "ParameterType": "Convolution",
                "Weights": {"Type": "Int8", "Count": 2304},
                "Bias": {"Type": "Float", "Count": 16},
                "TacticName": f"{kernel}_interleaved_i8i8_i8i32_f32_nchw_vect_c_32",
            },
            {
                "Name": "net.b/conv2d_1 + net.b/add",
                "LayerType": "CaskConvolution",
                "Inputs": [tensor("z", half), tensor("skip", half)],
                "Outputs": [tensor("u", half)],
                "Weights": {"Type": "Half", "Count": 2304},
                "TacticName": "turing_h1688cudnn_256x128_ldg8_relu",
            },
            {
                "Name": "net.c/conv2d_2",
                "LayerType": "CaskConvolution",
                "Inputs": [tensor("u", single)],
                "Outputs": [tensor("v", single)],
                "Weights": {"Type": "Float", "Count": 2304},
                "TacticName": f"{kernel}_f32f32_tf32f32_f32_nhwckrsc_nhwc",
            },
        ]
    )


def ten() -> str:
    """10: metadata, and parts run by the graph compiler, which makes up names for its fused kernels."""
    return written(
        [
            {
                "Name": "__myl_CorrMulAddRelu_myl0_1",
                "LayerType": "fusion",
                "Inputs": [tensor("__mye1", "Half"), tensor("__mye2dconst", "Int8")],
                "Outputs": [tensor("__mye3", "Half")],
                "TacticName": "sm80_xmma_fprop_implicit_gemm_i8f32_i8i32_f32_nhwckrsc_nhwc",
                "StreamId": 0,
                "Metadata": f"[ONNX Layer: net.a/conv2d]{COMPILER_MARK}[ONNX Layer: net.a/relu]",
            },
            {
                "Name": "net.b/conv2d_1 + net.b/add",
                "LayerType": "CaskConvolution",
                "Inputs": [tensor("__mye3", "Half NHWC8"), tensor("skip", "Half NHWC8")],
                "Outputs": [tensor("u", "Half NHWC8")],
                "Weights": {"Type": "Half", "Count": 2304},
                "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc",
                "Metadata": f"[ONNX Layer: net.b/conv2d_1]{CLASSIC_MARK}[ONNX Layer: net.b/add]",
            },
            {
                "Name": "net.c/conv2d_2_myl1_0",
                "LayerType": "gemm",
                "Inputs": [tensor("u", "Float"), tensor("w", "Float")],
                "Outputs": [tensor("v", "Float")],
                "TacticName": "",
                "Metadata": "[ONNX Layer: net.c/conv2d_2]",
            },
        ]
    )


def rtx() -> str:
    """TensorRT for RTX: all run by the graph compiler, no kernel names. Sums before and after claim the node too."""

    def kernel(
        name: str, inputs: list[str], outputs: list[str], nodes: list[str], kind: str = "kgen"
    ) -> dict[str, Any]:
        return {
            "Name": name,
            "LayerType": kind,
            "Inputs": [tensor(f"__mye{i}", form) for i, form in enumerate(inputs)],
            "Outputs": [tensor("__myln_k_arg__bb1_1", form) for form in outputs],
            "Metadata": COMPILER_MARK.join(f"[ONNX Layer: {node}]" for node in nodes),
        }

    return written(
        [
            kernel("__myl_CastTranMulRounCast_myl0_0", ["Half"], ["Int8"], ["permute_QuantizeLinear", "net.a/conv2d"]),
            kernel(
                "net.a/conv2d_myl0_1", ["Int8", "Int8", "Float", "Float"], ["Float"], ["net.a/conv2d"], kind="corrltn"
            ),
            kernel("__myl_MulCastAddRelu_myl0_2", ["Float"], ["Half"], ["net.a/relu", "net.a/conv2d"]),
            {"Name": "__mye28748", "LayerType": "signal", "Inputs": [], "Outputs": [], "Metadata": ""},
            kernel("net.b/conv2d_1_myl0_4", ["Half", "Half", "Float"], ["Half"], ["net.b/conv2d_1"], kind="corrltn"),
            kernel("net.c/conv2d_2_myl0_5", ["Float", "Float"], ["Float"], ["net.c/conv2d_2"], kind="corrltn"),
        ]
    )


def eleven() -> str:
    """Type and layout under keys of their own, as a later version may have them."""
    document = json.loads(ten(), strict=False)
    for layer in document["Layers"]:
        for one in (*layer["Inputs"], *layer["Outputs"]):
            kind, _, layout = one.pop("Format/Datatype").partition(" ")
            one |= {"Datatype": kind, "Format": layout}
    return written(document["Layers"])


DIALECTS = {"8.6": classic, "10": ten, "11": eleven, "rtx": rtx}

#: What a plan of usual verbosity tells.
NAMES_ALONE = json.dumps({"Layers": ["net.a/conv2d + net.a/relu", "net.b/conv2d_1"], "Bindings": []})
