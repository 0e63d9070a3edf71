"""History on its way out: to Parquet and Arrow files, for notebooks and object storage."""
