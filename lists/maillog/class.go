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
}

// String returns the word for the class; ClassNone is empty.
func (c Class) String() string { return classes[c].name }

// alertClasses has the alerts that a client can send (RFC 8446 section 6, RFC 5246 section 7.2), by number.
var alertClasses = map[int]Class{
	0: classAlertCloseNotify, 10: classAlertUnexpectedMessage, 20: classAlertRecordMAC, 40: classAlertHandshakeFailure,
	42: classAlertBadCertificate, 43: classAlertUnsupportedCertificate, 44: classAlertRevoked, 45: classAlertExpired,
	46: classAlertCertificateUnknown, 47: classAlertIllegalParameter, 48: classAlertUnknownCA, 49: classAlertAccessDenied,
	50: classAlertDecode, 51: classAlertDecrypt, 70: classAlertProtocolVersion, 71: classAlertSecurity,
	80: classAlertInternal, 86: classAlertFallback, 90: classAlertUserCanceled, 112: classAlertUnrecognizedName,
}

// reasons has the words of OpenSSL and GnuTLS, and of the system, in the spelling of normalizeReason.
var reasons = map[string]Class{
	"no shared cipher": classNoSharedCipher,
	"no supported cipher suites have been found.":                classNoSharedCipher,
	"unsupported protocol":                                       classUnsupportedProtocol,
	"unsupported ssl version":                                    classUnsupportedProtocol,
	"a packet with illegal or unsupported version was received.": classUnsupportedProtocol,
	"version too low":                                            classVersionTooLow,
	"unknown protocol":                                           classUnknownProtocol,
	"no suitable signature algorithm":                            classNoSignature,
	"no shared signature algorithms":                             classNoSignature,
	"no shared sigature algorithms":                              classNoSignature, // as OpenSSL 1.0 and 1.1 spell it
	"no suitable key share":                                      classNoKeyShare,
	"no suitable groups":                                         classNoKeyShare,
	"no common point formats":                                    classNoKeyShare,
	"wrong version number":                                       classWrongVersion,
	"packet length too long":                                     classLength,
	"an unexpected tls packet was received.":                     classUnexpectedPacket,
	"http request":                                               classHTTP,
	"https proxy request":                                        classHTTPSProxy,
	"inappropriate fallback":                                     classFallback,
	"decryption failed or bad record mac":                        classDecryption,
	"decryption has failed.":                                     classDecryption,
	"cipher operation failed":                                    classDecryption,
	"bad decrypt":                                                classDecryption,
	"invalid ccs message":                                        classCCS,
	"ccs received early":                                         classCCS,
	"bad change cipher spec":                                     classCCS,
	"a tls packet with unexpected length was received.":          classLength,
	"a record packet with illegal version was received.":         classUnexpectedPacket,
	"length mismatch":                                            classLength,
	"length too short":                                           classLength,
	"bad packet length":                                          classLength,
	"record length mismatch":                                     classLength,
	"data length too long":                                       classLength,
	"encrypted length too long":                                  classLength,
	"excessive message size":                                     classLength,
	"lost connection":                                            classLostConnection,
	"connection reset by peer":                                   classReset,
	"broken pipe":                                                classReset,
	"error in the pull function.":                                classReset,
	"error in the push function.":                                classReset,
	"connection timed out":                                       classTimeout,
	"timed out":                                                  classTimeout,
	"operation timed out":                                        classTimeout,
	"unexpected eof while reading":                               classEOF,
	"the tls connection was non-properly terminated.":            classEOF,
	"internal error":                                             classInternal,
	"error while reading file.":                                  classLocal,
	"unexpected message":                                         classUnexpectedMessage,
	"an unexpected tls handshake packet was received.":           classUnexpectedMessage,
	"decode error":                                               classDecode,
	"bad length":                                                 classDecode,
	"illegal parameter":                                          classIllegalParameter,
	"an illegal parameter has been received.":                    classIllegalParameter,
	"no protocols available":                                     classLocal,
	"no certificate set":                                         classLocal,
	"no certificate assigned":                                    classLocal,
	"no private key assigned":                                    classLocal,
	"ee key too small":                                           classLocal,
	"ca md too weak":                                             classLocal,
	"dh key too small":                                           classLocal,
	"peer did not return a certificate":                          classNoClientCertificate,
	"no certificate was found.":                                  classNoClientCertificate,
	"certificate verify failed":                                  classClientCertificate,
	"certificate invalid":                                        classClientCertificate,
	"a tls fatal alert has been received.":                       classAlertUnspecified,
	"alert close notify":                                         classAlertCloseNotify,
	"alert unexpected message":                                   classAlertUnexpectedMessage,
	"alert bad record mac":                                       classAlertRecordMAC,
	"alert decryption failed":                                    classAlertRecordMAC,
	"alert handshake failure":                                    classAlertHandshakeFailure,
	"alert bad certificate":                                      classAlertBadCertificate,
	"alert unsupported certificate":                              classAlertUnsupportedCertificate,
	"alert certificate revoked":                                  classAlertRevoked,
	"alert certificate expired":                                  classAlertExpired,
	"alert certificate unknown":                                  classAlertCertificateUnknown,
	"alert illegal parameter":                                    classAlertIllegalParameter,
	"alert unknown ca":                                           classAlertUnknownCA,
	"alert access denied":                                        classAlertAccessDenied,
	"alert decode error":                                         classAlertDecode,
	"alert decrypt error":                                        classAlertDecrypt,
	"alert protocol version":                                     classAlertProtocolVersion,
	"alert insufficient security":                                classAlertSecurity,
	"alert internal error":                                       classAlertInternal,
	"alert inappropriate fallback":                               classAlertFallback,
	"alert user cancelled":                                       classAlertUserCanceled,
	"alert user canceled":                                        classAlertUserCanceled,
	"alert unrecognized name":                                    classAlertUnrecognizedName,
}
