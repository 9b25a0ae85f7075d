"""The command that finds faces, predicts their landmarks and draws them."""
