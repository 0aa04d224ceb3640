"""What screens show, as text: no widget, no screen."""
