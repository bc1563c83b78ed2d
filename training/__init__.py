"""Training and evaluation of the network, and synthetic data for both.

``data`` reads data sets, ``synth`` writes them, ``evaluation`` measures models, and the modules here train. Of these
modules, the sub-packages import only ``ablations`` and ``extras``, which import nothing from this package.
"""
