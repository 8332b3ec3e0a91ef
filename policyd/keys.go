package policyd

import "ehlogate/lists"

// ParseClientKey parses a key of the form "ADDR" or "ADDR REST". rest is nil without a space. ok is false if ADDR is not an
// address.
func ParseClientKey(key []byte) (c lists.Client, rest []byte, ok bool) {
	for i, b := range key {
		if b == ' ' {
			key, rest = key[:i], key[i+1:]
			break
		}
	}
	c.Addr, ok = lists.ParseAddrBytes(key)
	return c, rest, ok
}

// ParseMap returns the service that a map of EHLO keywords is about. ok is false if there is no such map.
func ParseMap(name []byte) (s lists.Service, ok bool) {
	switch string(name) {
	case "starttls":
		return lists.SMTP, true
	case "submission":
		return lists.Submission, true
	}
	return 0, false
}
