"""keras.Model subclasses that own a train_step, and the loop that runs them; they know no paper."""
