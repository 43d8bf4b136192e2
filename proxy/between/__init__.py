"""Between the eras: a caller of one era of the protocol before a server of the other (`protocol` of a connection)."""
