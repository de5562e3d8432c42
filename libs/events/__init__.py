"""The kernel: one journal per service; everything else is derived from journals."""
