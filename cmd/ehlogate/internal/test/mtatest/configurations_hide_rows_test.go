package mtatest_test

import "strings"

const (
	// guessersList hides AUTH on submission, from the clients that are suppressed on port 25.
	guessersList = "\n[[list]]\nname = \"guessers\"\nhide = [\"auth\"]\nservices = [\"submission\"]\nfiles = [\"deny.list\"]\n"
	// loginWithMap is a submission service with the map of submission.
	loginWithMap = "submission inet n - n - - smtpd -o { " + mapParam + " = memcache:$config_directory/ehlogate-submission.cf }\n"
)

// submissionFile is an ehlogate-submission.cf with a backup.
func submissionFile(backup string) map[string]string {
	return map[string]string{"ehlogate-submission.cf": strings.Replace(memcacheFile(oneSecond+"backup = "+backup+"\n"), "starttls:%s", "submission:%s", 1)}
}

// hideRows have lists that hide other keywords than STARTTLS.
var hideRows = []postfixRow{
	{name: "submission has the map of submission", last: guessersList, master: usualMail + loginWithMap, files: submissionFile("cidr:/dev/null")},
	{name: "submission has the map of submission by a socketmap", last: guessersList, advice: []string{"map-refuses"},
		master: usualMail + "submission inet n - n - - smtpd -o { " + mapParam + " = socketmap:inet:127.0.0.1:10041:submission }\n"},
	{name: "port 25 has the map of submission", last: guessersList, files: submissionFile("cidr:/dev/null"),
		master: strings.Replace(loginWithMap, "submission inet", "smtp inet", 1) + loginWithMap},
	{name: "the backup of the map of submission hides STARTTLS", last: strings.Replace(guessersList, "deny.list", "allow.list", 1), master: usualMail + loginWithMap,
		files: submissionFile("inline:{127.0.0.66=starttls}")},
	{name: "a list for submission, where nothing is queried", last: guessersList, advice: []string{"submission-not-queried"}},
	{name: "AUTH is hidden on port 25, which has none", last: strings.Replace(guessersList, "services = [\"submission\"]\n", "", 1), advice: []string{"auth-not-offered"}},
}
