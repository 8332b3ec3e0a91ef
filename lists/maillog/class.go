package maillog

// Outcome is what a session says about its client and TLS.
type Outcome uint8

const (
	// OutcomeInfo means nothing: TLS was not used.
	OutcomeInfo Outcome = iota
	// OutcomeTLSOK means that TLS works.
	OutcomeTLSOK
	// OutcomeIncapable means that client and server have no version, cipher, group or signature in common. As both are
	// configured, TLS never works.
	OutcomeIncapable
	// OutcomePlaintextClient means that the client asked for TLS and went on in the clear.
	OutcomePlaintextClient
	// OutcomeScanner means that the client is no mail server: it tries one way of TLS after the other, or speaks HTTP.
	OutcomeScanner
	// OutcomeCertRejected means that the client does not accept the certificate of this server.
	OutcomeCertRejected
	// OutcomeCertRejectedLater means the same, after a handshake that was completed, as TLS 1.3 has it.
	OutcomeCertRejectedLater
	// OutcomeTransient means that the connection failed. The next may work.
	OutcomeTransient
	// OutcomeAttackOrBroken means that data was changed on the way, or TLS downgraded (RFC 7507).
	OutcomeAttackOrBroken
	// OutcomeAmbiguous means that the log does not tell why.
	OutcomeAmbiguous
	// OutcomeLocal means that this server is at fault: its certificate, its configuration, its limits.
	OutcomeLocal
	// OutcomeSuppressed means that STARTTLS was hidden, so that nothing could fail.
	OutcomeSuppressed
	// OutcomeSubmission means a failure on a port for submission. It says nothing about port 25.
	OutcomeSubmission
	outcomeCount
)

var outcomeNames = [outcomeCount]string{
	"info", "tls-ok", "incapable", "plaintext-client", "scanner", "cert-rejected", "cert-rejected-after-handshake",
	"transient", "attack-or-broken", "ambiguous", "local", "suppressed-not-failed", "submission-ignore",
}

func (o Outcome) String() string { return outcomeNames[o] }

// Class is why TLS failed, in words that do not depend on the mail server and the version of its TLS library.
type Class uint8

const (
	// ClassNone means that TLS was not used and did not fail.
	ClassNone Class = iota
	// ClassSuccess means that the handshake was completed.
	ClassSuccess
	// ClassHandshakeOnly means that it was, and that the client then said nothing.
	ClassHandshakeOnly
	// ClassOther means a reason that is not in the table.
	ClassOther
	classAcceptZero
	classLocal
	classRateLimited
	classNoSharedCipher
	classUnsupportedProtocol
	classVersionTooLow
	classUnknownProtocol
	classNoSignature
	classNoKeyShare
	classWrongVersion
	classUnexpectedPacket
	classHTTP
	classHTTPSProxy
	classFallback
	classDecryption
	classLength
	classCCS
	classLostConnection
	classReset
	classTimeout
	classEOF
	classInternal
	classUnexpectedMessage
	classDecode
	classIllegalParameter
	classNoClientCertificate
	classClientCertificate
	classNoMail
	classLostAfter
	classAlertUnspecified
	classAlertCloseNotify
	classAlertUnexpectedMessage
	classAlertRecordMAC
	classAlertHandshakeFailure
	classAlertBadCertificate
	classAlertUnsupportedCertificate
	classAlertRevoked
	classAlertExpired
	classAlertCertificateUnknown
	classAlertIllegalParameter
	classAlertUnknownCA
	classAlertAccessDenied
	classAlertDecode
	classAlertDecrypt
	classAlertProtocolVersion
	classAlertSecurity
	classAlertInternal
	classAlertFallback
	classAlertUserCanceled
	classAlertUnrecognizedName
	classAlertOverflow
	classAlertDecompression
	classAlertNoCertificate
	classAlertExport
	classAlertMissingExtension
	classAlertUnsupportedExtension
	classAlertStatus
	classAlertPSK
	classAlertCertificateRequired
	classAlertALPN
	classMissingExtension
	classRenegotiation
	classRefused
	classCount
)

// classes has the word for each class, and what a failure of that class means.
var classes = [classCount]struct {
	name    string
	outcome Outcome
}{
	ClassNone:                        {"", OutcomeInfo},
	ClassSuccess:                     {"success", OutcomeTLSOK},
	ClassHandshakeOnly:               {"handshake-only", OutcomeAmbiguous},
	ClassOther:                       {"other", OutcomeAmbiguous},
	classAcceptZero:                  {"accept-zero", OutcomeAmbiguous},
	classLocal:                       {"local-problem", OutcomeLocal},
	classRateLimited:                 {"rate-limited", OutcomeLocal},
	classNoSharedCipher:              {"no-shared-cipher", OutcomeIncapable},
	classUnsupportedProtocol:         {"unsupported-protocol", OutcomeIncapable},
	classVersionTooLow:               {"version-too-low", OutcomeIncapable},
	classUnknownProtocol:             {"unknown-protocol", OutcomeIncapable},
	classNoSignature:                 {"no-suitable-signature-algorithm", OutcomeIncapable},
	classNoKeyShare:                  {"no-suitable-key-share", OutcomeIncapable},
	classWrongVersion:                {"wrong-version-number", OutcomePlaintextClient},
	classUnexpectedPacket:            {"unexpected-packet", OutcomePlaintextClient},
	classHTTP:                        {"http-request", OutcomeScanner},
	classHTTPSProxy:                  {"https-proxy-request", OutcomeScanner},
	classFallback:                    {"inappropriate-fallback", OutcomeAttackOrBroken},
	classDecryption:                  {"decryption-failed", OutcomeTransient},
	classLength:                      {"unexpected-length", OutcomeAttackOrBroken},
	classCCS:                         {"invalid-ccs", OutcomeAttackOrBroken},
	classLostConnection:              {"lost-connection", OutcomeTransient},
	classReset:                       {"connection-reset", OutcomeTransient},
	classTimeout:                     {"handshake-timeout", OutcomeTransient},
	classEOF:                         {"unexpected-eof", OutcomeTransient},
	classInternal:                    {"internal-error", OutcomeLocal},
	classUnexpectedMessage:           {"unexpected-message", OutcomeAmbiguous},
	classDecode:                      {"decode-error", OutcomeAmbiguous},
	classIllegalParameter:            {"illegal-parameter", OutcomeAmbiguous},
	classNoClientCertificate:         {"no-client-certificate", OutcomeLocal},
	classClientCertificate:           {"client-certificate-rejected", OutcomeLocal},
	classNoMail:                      {"no-mail-after-starttls", OutcomeAmbiguous},
	classLostAfter:                   {"lost-after-starttls", OutcomeAmbiguous},
	classAlertUnspecified:            {"alert-unspecified", OutcomeAmbiguous},
	classAlertCloseNotify:            {"alert-close-notify", OutcomeTransient},
	classAlertUnexpectedMessage:      {"alert-unexpected-message", OutcomeAmbiguous},
	classAlertRecordMAC:              {"alert-bad-record-mac", OutcomeAttackOrBroken},
	classAlertHandshakeFailure:       {"alert-handshake-failure", OutcomeIncapable},
	classAlertBadCertificate:         {"alert-bad-certificate", OutcomeCertRejected},
	classAlertUnsupportedCertificate: {"alert-unsupported-certificate", OutcomeCertRejected},
	classAlertRevoked:                {"alert-certificate-revoked", OutcomeCertRejected},
	classAlertExpired:                {"alert-certificate-expired", OutcomeCertRejected},
	classAlertCertificateUnknown:     {"alert-certificate-unknown", OutcomeCertRejected},
	classAlertIllegalParameter:       {"alert-illegal-parameter", OutcomeAmbiguous},
	classAlertUnknownCA:              {"alert-unknown-ca", OutcomeCertRejected},
	classAlertAccessDenied:           {"alert-access-denied", OutcomeCertRejected},
	classAlertDecode:                 {"alert-decode-error", OutcomeAmbiguous},
	classAlertDecrypt:                {"alert-decrypt-error", OutcomeAmbiguous},
	classAlertProtocolVersion:        {"alert-protocol-version", OutcomeIncapable},
	classAlertSecurity:               {"alert-insufficient-security", OutcomeIncapable},
	classAlertInternal:               {"alert-internal-error", OutcomeAmbiguous},
	classAlertFallback:               {"alert-inappropriate-fallback", OutcomeAttackOrBroken},
	classAlertUserCanceled:           {"alert-user-canceled", OutcomeTransient},
	classAlertUnrecognizedName:       {"alert-unrecognized-name", OutcomeAmbiguous},
	classAlertOverflow:               {"alert-record-overflow", OutcomeAttackOrBroken},
	classAlertDecompression:          {"alert-decompression-failure", OutcomeAttackOrBroken},
	classAlertNoCertificate:          {"alert-no-certificate", OutcomeAmbiguous},
	classAlertExport:                 {"alert-export-restriction", OutcomeAmbiguous},
	classAlertMissingExtension:       {"alert-missing-extension", OutcomeAmbiguous},
	classAlertUnsupportedExtension:   {"alert-unsupported-extension", OutcomeAmbiguous},
	classAlertStatus:                 {"alert-bad-certificate-status-response", OutcomeCertRejected},
	classAlertPSK:                    {"alert-unknown-psk-identity", OutcomeAmbiguous},
	classAlertCertificateRequired:    {"alert-certificate-required", OutcomeAmbiguous},
	classAlertALPN:                   {"alert-no-application-protocol", OutcomeAmbiguous},
	classMissingExtension:            {"missing-extension", OutcomeAmbiguous},
	classRenegotiation:               {"renegotiation", OutcomeAttackOrBroken},
	classRefused:                     {"starttls-refused", OutcomeAmbiguous},
}

// String returns the word for the class; ClassNone is empty.
func (c Class) String() string { return classes[c].name }

// FailureClasses returns the classes that a failure can have.
func FailureClasses() (all []Class) {
	for c := ClassOther; c < classCount; c++ {
		all = append(all, c)
	}
	return all
}
