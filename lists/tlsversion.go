package lists

// TLSVersion is the version of TLS that a session uses, as far as it matters which.
type TLSVersion uint8

const (
	// NoTLS means that mail came in the clear.
	NoTLS TLSVersion = iota
	SSL3
	TLS10
	TLS11
	TLS12
	TLS13
	// OtherTLS is a version whose name is unknown.
	OtherTLS

	// TLSVersionCount is the number of versions.
	TLSVersionCount
)

// tlsVersionNames are the names that OpenSSL gives to versions, and with it Postfix and Sendmail.
var tlsVersionNames = [...]string{NoTLS: "none", SSL3: "SSLv3", TLS10: "TLSv1", TLS11: "TLSv1.1", TLS12: "TLSv1.2", TLS13: "TLSv1.3", OtherTLS: "other"}

// String returns the word used in logs and metrics.
func (v TLSVersion) String() string { return enumName(tlsVersionNames[:], int(v)) }

// IsOld reports whether TLS is in use in a version that RFC 8996 deprecates.
func (v TLSVersion) IsOld() bool { return v >= SSL3 && v <= TLS11 }

// ParseTLSVersion returns the version that a mail server names. An empty name is that of a session in the clear.
func ParseTLSVersion[T string | []byte](name T) TLSVersion {
	switch string(name) {
	case "":
		return NoTLS
	case "TLSv1.3":
		return TLS13
	case "TLSv1.2":
		return TLS12
	case "TLSv1.1":
		return TLS11
	case "TLSv1", "TLSv1.0":
		return TLS10
	case "SSLv3":
		return SSL3
	}
	return OtherTLS
}
