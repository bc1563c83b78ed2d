"""Tests of the networks of Table I. Half of them need torchvision and segmentation_models_pytorch."""
