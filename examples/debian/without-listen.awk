# Comments the section [listen] out, for systemd holds the sockets.
/^\[listen\]/ {
	inside = found = 1
	print "# Here it is a comment, since the socket units of systemd say where it listens:"
	print "# systemctl cat ehlogate.socket ehlogate-loopback.socket ehlogate-http.socket"
	print "#" $0
	next
}
/^\[/ { inside = 0 }
inside && /^[^#]/ { $0 = "#" $0 }
{ print }
END { if (!found) { print "there is no [listen] in " FILENAME >"/dev/stderr"; exit 1 } }
