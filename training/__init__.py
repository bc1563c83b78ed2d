"""Training and evaluation of the network, and synthetic data for both.

``data`` reads data sets, ``synth`` writes them, ``evaluation`` measures models, and the modules here train. The folders
import from here only ``ablations`` and ``extras``, which import nothing of this package.
"""
