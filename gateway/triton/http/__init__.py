"""HTTP/1.1 to the servers behind one name: addresses, connections, questions and answers."""
