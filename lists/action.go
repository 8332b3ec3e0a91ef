package lists

// Action is what is done for a client.
type Action uint8

const (
	// Offer shows STARTTLS (RFC 3207) to the client in the EHLO reply.
	Offer Action = iota
	// Suppress hides STARTTLS from the client.
	Suppress
	// Require offers STARTTLS and refuses mail that comes without it.
	Require
	// Legacy offers STARTTLS to a client that speaks old versions of TLS only, and is to be served by a service that does.
	Legacy
	// NoAction is that of a list that hides EHLO keywords and leaves STARTTLS to other lists. It is no decision.
	NoAction
)

var actionNames = [...]string{Offer: "offer", Suppress: "suppress", Require: "require", Legacy: "legacy", NoAction: "none"}

// String returns the word used in config, logs and metrics.
func (a Action) String() string { return enumName(actionNames[:], int(a)) }

func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a *Action) UnmarshalText(text []byte) error {
	if string(text) == actionNames[NoAction] { // written by ehlogate, and not by operators
		*a = NoAction
		return nil
	}
	i, err := parseEnum("action", actionNames[:NoAction], text)
	*a = Action(i)
	return err
}

// Mode is whether a decision takes effect.
type Mode uint8

const (
	// Enforce lets decisions take effect.
	Enforce Mode = iota
	// Observe decides, logs and counts, and changes nothing.
	Observe
)

var modeNames = [...]string{Enforce: "enforce", Observe: "observe"}

// String returns the word used in config and logs.
func (m Mode) String() string { return enumName(modeNames[:], int(m)) }

// MarshalText returns the same word as String; it never fails.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m *Mode) UnmarshalText(text []byte) error {
	i, err := parseEnum("mode", modeNames[:], text)
	*m = Mode(i)
	return err
}
