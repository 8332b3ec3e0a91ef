package state

import (
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/tlspolicy"
)

// logGuardEvent logs what the guard reports.
func logGuardEvent(log logrus.FieldLogger, e tlspolicy.Event) {
	if e.Err != nil {
		log = log.WithError(e.Err)
	}
	ofDomain := log.WithField("domain", e.Domain)
	switch e.Kind {
	case tlspolicy.Activated:
		log.Warnf("guard active: only your own list files hide STARTTLS from now on, not the default, DNS lists or feeds; the reason is %s: %s. To end this, withdraw what the domain publishes, or remove it from [guard] domains", e.Domain, e.Reason)
	case tlspolicy.Deactivated:
		log.Info("guard inactive: no domain is committed to STARTTLS, so the default, DNS lists and feeds may hide it")
	case tlspolicy.FileUnreadable:
		log.Warnf("cannot read %s: a commitment to STARTTLS is assumed for each domain until it has been checked, and the file is not written before the next start", e.File)
	case tlspolicy.FileInvalid:
		log.Warnf("invalid state file %s: a commitment to STARTTLS is assumed for each domain until it has been checked", e.File)
	case tlspolicy.FileNotWritten:
		log.Warnf("cannot write %s, so commitments to STARTTLS are forgotten at a restart: make its directory writable for this user, or set another file in [guard] state", e.File)
	case tlspolicy.CheckSucceeded:
		ofDomain.Infof("%s of %s can be checked again: %s", e.Mechanism, e.Domain, e.State)
	case tlspolicy.CheckFailed:
		effect := "the last result stays: " + string(e.State)
		if e.State == tlspolicy.Unknown {
			effect = "a commitment to STARTTLS is assumed until a check succeeds"
		}
		ofDomain.Warnf("%s of %s cannot be checked since %s: %s", e.Mechanism, e.Domain, e.Since.Format(time.RFC3339), effect)
	case tlspolicy.PolicyTesting:
		ofDomain.Warnf("the MTA-STS policy of %s has mode testing: the guard overrides nothing for it yet, and senders report each session without STARTTLS (RFC 8460); once the mode is enforce, only your own list files hide STARTTLS", e.Domain)
	case tlspolicy.CommitmentChanged:
		switch e.Commitment {
		case tlspolicy.Confirmed:
			ofDomain.Warnf("%s is committed to STARTTLS: %s", e.Domain, e.Reason)
		case tlspolicy.Assumed:
			ofDomain.Warnf("a commitment of %s to STARTTLS is assumed: %s", e.Domain, e.Reason)
		default:
			ofDomain.Infof("%s is not committed to STARTTLS: %s", e.Domain, e.Reason)
		}
	}
}
