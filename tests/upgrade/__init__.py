"""A rolling upgrade by one format: the present code beside a next version that writes another form."""
