package maillog

import (
	"bytes"
	"strconv"
	"strings"
)

// normalizeReason returns the words of a reason in lower case, with single spaces and without the version in front of an
// alert, which differs between the versions of OpenSSL: "sslv3 alert bad certificate", "ssl/tls alert bad certificate".
func normalizeReason(reason []byte) string {
	s := strings.Join(strings.Fields(strings.ToLower(string(reason))), " ")
	for _, version := range []string{"sslv3 ", "tlsv1 ", "tlsv13 ", "ssl/tls "} {
		s = strings.TrimPrefix(s, version)
	}
	return s
}

// classify returns the class of a reason in the words of a TLS library or the system, and false if it is not known.
func classify(reason []byte) (Class, bool) {
	class, ok := reasons[normalizeReason(reason)]
	return class, ok
}

// libraryError is a line of OpenSSL's error queue (ERR_print_errors(3)):
//
//	[PID:]error:NUMBER:LIBRARY:[FUNCTION]:REASON[:FILE:LINE:][SSL alert number N]
type libraryError struct {
	class Class
	// isSSL reports that it is of the library of TLS itself. What other libraries have to say may only be its consequence.
	isSSL bool
}

// libraryReason is what the errors of one handshake say together.
type libraryReason struct {
	class Class // ClassNone: nothing yet
	isSSL bool
	line  []byte // that class is from
}

// reset forgets all of it, but keeps the memory of the line.
func (l *libraryReason) reset() { *l = libraryReason{line: l.line[:0]} }

// take takes the next error, and its line. The last of the TLS library itself says most, but for those that only say that there were
// others: "system lib", or "record layer failure" of OpenSSL 3.2 and later.
func (l *libraryReason) take(e libraryError, line []byte) {
	if e.class == ClassOther && l.class != ClassNone {
		return
	}
	if e.isSSL || !l.isSSL {
		l.class, l.isSSL, l.line = e.class, e.isSSL, keepLine(l.line, line)
	}
}

func parseLibraryError(b []byte) (e libraryError, ok bool) {
	at := bytes.Index(b, []byte("error:"))
	if at < 0 {
		return e, false
	}
	fields := bytes.Split(bytes.TrimSpace(b[at+len("error:"):]), []byte(":"))
	if len(fields) < 3 {
		return e, false
	}
	library, function, reason := normalizeReason(fields[1]), "", fields[2]
	if len(fields) > 3 {
		function, reason = strings.ToLower(string(fields[2])), fields[3]
	}
	e = libraryError{class: ClassOther, isSSL: library == "ssl routines"}
	if class, ok := classify(reason); ok {
		e.class = class
	}
	if n, isAlert := alertNumber(b); isAlert {
		if class, ok := alertClasses[n]; ok {
			e.class = class
		}
	}
	switch {
	case !e.isSSL && e.class == ClassOther && isLocalLibrary(library):
		e.class = classLocal
	case e.class == classUnknownProtocol && function == "ssl23_get_client_hello":
		// OpenSSL 1.0 says so where there is no record of TLS at all, later versions if it is of a version that is switched off.
		e.class = classWrongVersion
	}
	return e, true
}

// isLocalLibrary reports whether the library reads files, keys and configurations, which no client has a part in.
func isLocalLibrary(library string) bool {
	switch library {
	case "system library", "pem routines", "x509 certificate routines", "bio routines", "configuration file routines", "dso support routines", "engine routines":
		return true
	}
	return false
}

// alertNumber returns N of "SSL alert number N", which is the surest part of a line.
func alertNumber(b []byte) (int, bool) {
	_, after, ok := bytes.Cut(b, []byte("SSL alert number "))
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(after) && after[end]-'0' < 10 {
		end++
	}
	n, err := strconv.Atoi(string(after[:end]))
	return n, err == nil
}
