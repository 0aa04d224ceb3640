"""What trainings leave on the disk: one folder, and all of them."""
