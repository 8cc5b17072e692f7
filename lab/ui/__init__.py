"""The page: a shell, one file a tab, and the parts that tabs share."""
