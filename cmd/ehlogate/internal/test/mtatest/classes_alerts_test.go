package mtatest_test

import (
	"crypto/tls"
)

// alerts are what a client can send (RFC 8446 section 6, and those of older versions), and the verdict.
var alerts = []struct {
	number byte
	name   string
	want   string
	but    verdicts
}{
	{10, "unexpected_message", "alert-unexpected-message ambiguous", nil},
	{20, "bad_record_mac", "alert-bad-record-mac attack-or-broken", nil},
	{21, "decryption_failed", "alert-bad-record-mac attack-or-broken", nil},
	{22, "record_overflow", "alert-record-overflow attack-or-broken", nil},
	{30, "decompression_failure", "alert-decompression-failure attack-or-broken", nil},
	{40, "handshake_failure", "alert-handshake-failure incapable", nil},
	{41, "no_certificate", "alert-no-certificate ambiguous", nil},
	{42, "bad_certificate", "alert-bad-certificate cert-rejected", nil},
	{43, "unsupported_certificate", "alert-unsupported-certificate cert-rejected", nil},
	{44, "certificate_revoked", "alert-certificate-revoked cert-rejected", nil},
	{45, "certificate_expired", "alert-certificate-expired cert-rejected", nil},
	{46, "certificate_unknown", "alert-certificate-unknown cert-rejected", nil},
	{47, "illegal_parameter", "alert-illegal-parameter ambiguous", nil},
	{48, "unknown_ca", "alert-unknown-ca cert-rejected", nil},
	{49, "access_denied", "alert-access-denied cert-rejected", nil},
	{50, "decode_error", "alert-decode-error ambiguous", nil},
	{51, "decrypt_error", "alert-decrypt-error ambiguous", nil},
	{60, "export_restriction", "alert-export-restriction ambiguous", nil},
	{70, "protocol_version", "alert-protocol-version incapable", nil},
	{71, "insufficient_security", "alert-insufficient-security incapable", nil},
	{80, "internal_error", "alert-internal-error ambiguous", nil},
	{86, "inappropriate_fallback", "alert-inappropriate-fallback attack-or-broken", nil},
	{90, "user_canceled", "alert-user-canceled transient", nil},
	{109, "missing_extension", "alert-missing-extension ambiguous", nil},
	{110, "unsupported_extension", "alert-unsupported-extension ambiguous", nil},
	{112, "unrecognized_name", "alert-unrecognized-name ambiguous", nil},
	{113, "bad_certificate_status_response", "alert-bad-certificate-status-response cert-rejected", verdicts{logExim: "failed alert-unspecified ambiguous"}},
	{115, "unknown_psk_identity", "alert-unknown-psk-identity ambiguous", nil},
	{116, "certificate_required", "alert-certificate-required ambiguous", nil},
	{120, "no_application_protocol", "alert-no-application-protocol ambiguous", nil},
	{255, "255", "other ambiguous", verdicts{logExim: "failed alert-unspecified ambiguous"}},
}

// alertWays returns a row for each alert that the client sends when it has read ServerHello, and some in other places.
func alertWays() []way {
	all := []way{
		{name: "close_notify", want: "failed lost-connection transient", but: verdicts{logExim: "failed alert-close-notify transient"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(makeRecord(recordAlert, tls.VersionTLS12, []byte{1, 0})), awaitsEnd)},
		{name: "close_notify at once", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(makeRecord(recordAlert, tls.VersionTLS10, []byte{1, 0})), awaitsEnd)},
		{name: "user_canceled, close_notify", want: "failed lost-connection transient", but: verdicts{logExim: "failed alert-unspecified ambiguous"}, play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(makeRecord(recordAlert, tls.VersionTLS12, []byte{1, 90})), sends(makeRecord(recordAlert, tls.VersionTLS12, []byte{1, 0})), awaitsEnd)},
		{name: "handshake_failure at once", want: "failed unexpected-message ambiguous", but: verdicts{logExim: "failed unexpected-packet plaintext-client"}, play: afterSTARTTLS(sends(makeRecord(recordAlert, tls.VersionTLS10, []byte{2, 40})), awaitsEnd)},
		{name: "unknown_ca in the clear, TLS 1.3", want: "failed alert-unknown-ca cert-rejected", but: verdicts{logExim: "failed decryption-failed transient"}, play: afterSTARTTLS(sends(hello13.bytes()), awaitsFlight, sends(alertRecord(48)), awaitsEnd)},
	}
	for _, a := range alerts {
		all = append(all, way{name: "alert " + a.name, want: "failed " + a.want, but: a.but,
			play: afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight, sends(alertRecord(a.number)), awaitsEnd)})
	}
	return all
}
