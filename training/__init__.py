"""The rest of the method: data, synthetic scenes, losses, metrics, training and evaluation."""
