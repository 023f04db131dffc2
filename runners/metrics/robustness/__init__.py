"""What is left of the accuracy when somebody changes the inputs on purpose."""
