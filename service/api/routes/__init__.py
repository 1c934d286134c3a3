"""One module a family of endpoints. A route reads the shape, calls one command and renders its receipt."""
