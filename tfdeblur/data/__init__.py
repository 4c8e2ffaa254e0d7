"""Sources of pairs, blur synthesis, and the tf.data pipeline that makes batches of them."""
