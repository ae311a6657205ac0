"""The fault simulator: live logic under the Sim runtime, with exchanges that fail and processes that are killed."""
