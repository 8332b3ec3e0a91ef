package doctor

// What there may be to examine.
func onPostfix(e *exam) bool  { return e.pf != nil }
func onExim(e *exam) bool     { return e.exim != nil }
func onSendmail(e *exam) bool { return e.sendmail != nil }
func onDaemon(*exam) bool     { return true }
func onDNS(e *exam) bool      { return e.config.UsesDNS() || len(e.config.Guard.Domains) > 0 }

// checks are all checks, in their order, and the IDs that each alone reports. A new check is a function in the file
// that is named after what it examines, and a line here or in smtpdChecks.
var checks = []struct {
	applies  func(*exam) bool
	run      func(*exam)
	findings string
}{
	{onDaemon, (*exam).checkDaemon, ""},  // before the checks that query it
	{onPostfix, (*exam).checkSMTPDs, ""}, // smtpdChecks
	{onPostfix, (*exam).checkPostfixVersion, "postfix-version"},
	{onPostfix, (*exam).checkServedDomains, "guard-misses guard-unseen"},
	{onPostfix, (*exam).checkPostscreen, "postscreen-queries postscreen-inherits postscreen-offers"},
	{onPostfix, (*exam).checkPostfixQueries, "ehlogate-not-queried port-not-queried"},
	{onPostfix, (*exam).checkAddressQueries, "addresses-never-queried"},
	{onPostfix, (*exam).checkHiddenOnPostfix, "auth-not-offered helo-never-hides"},
	{onPostfix, (*exam).checkLegacyPostfix, "legacy-no-redirect legacy-refused legacy-strict"},
	{onExim, (*exam).checkExim, "exim-slow exim-no-shutdown"},
	{onExim, (*exam).checkLegacyExim, ""},
	{onPostfix, (*exam).checkPostfixLog, "log-hides-tls"},
	{onExim, (*exam).checkEximLog, "log-hides-sessions"},
	{onLogs, (*exam).checkLogAccess, "log-forbidden"},
	{onFallback, (*exam).checkWatchAccess, "watch-forbidden"},
	{onSendmail, (*exam).checkSendmailMilters, "sendmail-milter-slow"},
	{onSendmail, (*exam).checkLegacySendmail, ""},
	{onSendmail, (*exam).checkSendmailMaps, "sendmail-wrong-listener sendmail-map-name sendmail-slow sendmail-local-socket"},
	{onPostfix, (*exam).checkInstances, "other-instances"},
	{onDaemon, (*exam).checkGuardOff, "guard-off"},
	{onPressure, (*exam).checkPressure, "pressure-unreadable"},
	{onDaemon, (*exam).checkSharedAddress, "shared-address"},
	{onDaemon, (*exam).checkListAccess, "list-forbidden"},
	{onDaemon, (*exam).checkHTTPAddress, "http-reachable"},
	{onDNS, (*exam).checkListOrder, "suppress-behind-dns"},
	{onDNS, (*exam).checkResolverAddresses, "public-resolver distant-resolver dane-unsure"},
	{onDNS, (*exam).checkUnit, "service-no-network service-no-https"},
	{onDNS, (*exam).checkDNSAnswers, "resolver-silent zone-silent zone-refuses zone-no-list zone-lists-all zone-lists-nothing"},
}

// smtpdChecks are the checks of each smtpd of Postfix, in their order.
var smtpdChecks = []struct {
	run      func(*exam, smtpd)
	findings string
}{
	{(*exam).checkPolicyServices, "policy-default-action policy-slow"},
	{(*exam).checkMilters, ""},
	{(*exam).checkTables, "map-refuses socketmap-name table-unreadable"},
	{(*exam).checkKeywords, "keywords-lost keywords-extra starttls-hidden-from-all"},
	{(*exam).checkOwnTables, "map-shadowed table-hides-offered"},
	{(*exam).checkMapAnswers, ""},
	{(*exam).checkLogins, "auth-queries"},
	{(*exam).checkSubmissionMap, ""},
	{(*exam).checkTLSLevel, "tls-required no-starttls"},
	{(*exam).checkReplacedSettings, "setting-replaced"},
	{(*exam).checkEnforcement, "require-unenforced policy-skipped milter-skipped never-queried"},
}

// sharedFindings are those of parts that several checks use: how a mail server connects to ehlogate, and the files of
// tables.
const sharedFindings = "hides-nothing harm-while-down " + // trial.go
	"legacy-unserved legacy-needless legacy-library " + // legacy.go, legacy_others.go
	"not-examined submission-queries names-never-count wait-too-long " +
	"keyword-never-hidden submission-not-queried submission-map " + // hidden.go, memcache.go
	"bad-attribute milter-default-action milter-slow " + // policy_milter.go, sendmail.go
	"bad-address address-family socket-forbidden socket-outside-jail localhost not-our-address wrong-listener " + // endpoint.go
	"unreachable other-program-answers no-answer running-differs version-differs " + // running.go, daemon.go
	"filter-never-queries key-format key-digest memcache-file-unreadable memcache-bad-number memcache-slow " + // maps.go
	"memcache-no-backup backup-needs-daemon backup-unreadable backup-suppresses " +
	"proxy-not-approved proxy-waits " +
	"table-wrong-type table-behind table-stays-behind table-not-reloaded table-not-kept export-unit-fails " + // exported.go
	"database-behind table-lacks-networks table-lacks-addresses" // database.go, pair.go
