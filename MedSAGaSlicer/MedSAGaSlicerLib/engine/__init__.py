"""Arrays, models and files; knows neither Slicer nor VTK nor Qt."""
