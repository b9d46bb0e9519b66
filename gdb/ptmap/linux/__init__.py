"""What ptmap knows of Linux: none of it is needed for a map, all of it explains one."""
