# Comments the section [listen] out: systemd opens the sockets.
/^\[listen\]/ {
	inside = found = 1
	print "# This section is a comment, since the socket units of systemd say where the daemon listens:"
	print "# systemctl cat ehlogate.socket ehlogate-loopback.socket ehlogate-http.socket"
	print "#" $0
	next
}
/^\[/ { inside = 0 }
inside && /^[^#]/ { $0 = "#" $0 }
{ print }
END { if (!found) { print "there is no [listen] in " FILENAME >"/dev/stderr"; exit 1 } }
