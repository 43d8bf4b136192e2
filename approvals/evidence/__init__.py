"""Evidence for people: the page, the API, bundles in the background, what the record says of each promise."""
