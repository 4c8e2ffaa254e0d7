"""TensorFlow Datasets builders; installed as tfdeblur.datasets."""
