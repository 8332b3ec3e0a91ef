package maillog

import "bytes"

// trimContainer removes the name that docker compose writes in front of a line: "mail_1   | ".
func trimContainer(b []byte) ([]byte, bool) {
	bar := bytes.Index(b[:min(len(b), 100)], []byte("| "))
	if bar <= 0 {
		return nil, false
	}
	name := bytes.TrimRight(b[:bar], " ")
	for _, c := range name {
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '-' && c != '_' && c != '.' {
			return nil, false
		}
	}
	return b[bar+2:], len(name) > 0
}

// isContainer reports whether b, TAG or TAG[PID], is of a program that logs what containers write: docker, podman, or an
// identifier of a container (docker's log driver for syslog).
func isContainer(b []byte) bool {
	if bracket := bytes.IndexByte(b, '['); bracket > 0 {
		b = b[:bracket]
	}
	switch string(b) {
	case "docker", "dockerd", "docker-compose", "podman", "conmon":
		return true
	}
	for _, c := range b {
		if c-'0' > 9 && c-'a' > 5 {
			return false
		}
	}
	return len(b) == 12
}

// setInner takes what a container wrote, if that has a time of its own. "stdout F " stands in front of it in Kubernetes.
func (f *framer) setInner(b []byte) bool {
	for _, stream := range []string{"stdout F ", "stderr F "} {
		b = bytes.TrimPrefix(b, []byte(stream))
	}
	f.inner = nil
	if _, _, isISO := f.parseISO(b); isISO || is3164(b) {
		f.inner = b
	}
	return f.inner != nil
}

// parseInner reads what a container wrote. It reports whether that is of a mail server.
func (f *framer) parseInner(r *record) bool {
	var inner record
	b := f.inner
	if f.isInner {
		return false
	}
	f.isInner = true
	ok := f.parseText(b, &inner)
	f.isInner = false
	if !ok || inner.program == programNone {
		return false
	}
	*r = inner
	return true
}
