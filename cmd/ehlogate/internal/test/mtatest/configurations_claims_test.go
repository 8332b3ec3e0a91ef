package mtatest_test

import "strings"

// harm is what a mail server can do to its clients that its operator does not want.
type harm string

const (
	showsDenied   harm = "offers STARTTLS to a suppressed client"
	hidesAllowed  harm = "hides STARTTLS from a client that may have it"
	hidesEdited   harm = "hides STARTTLS from a client that was just allowed"
	showsDown     harm = "offers STARTTLS to a suppressed client while ehlogate is down, though the backup is to suppress it"
	hidesDown     harm = "hides STARTTLS from a client that may have it, while ehlogate is down"
	hidesLogin    harm = "hides STARTTLS on submission"
	exposesLogin  harm = "suppresses a client that can log in"
	losesKeywords harm = "offers a suppressed client what it hides from all others"
	addsKeywords  harm = "hides from a suppressed client what it offers to all others"
	needsTLS      harm = "refuses mail of a suppressed client: TLS is required"
	lacksOld      harm = "refuses TLS 1.0 to a client on a legacy list"
	refusesOld    harm = "refuses a client on a legacy list"
	oldForAll     harm = "speaks TLS 1.0 with a client on no list"
	lacksTLS      harm = "takes mail without TLS from a client that must use it"
	failsNow      harm = "refuses mail"
	failsDown     harm = "refuses mail while ehlogate is down"
	waitsHung     harm = "keeps clients waiting while ehlogate hangs" // measured where failsHung is no fault of the configuration
	failsHung     harm = "refuses mail, or is slow, while ehlogate hangs"
)

// claimOf returns the name in claims of a finding: its ID, with a condition or the parameter that it is about, if there is
// such a line.
func claimOf(f advice, explicitOffer bool) string {
	for _, name := range []string{f.ID + " with explicit_offer", f.ID + " in " + f.Parameter} {
		if _, ok := claims[name]; ok && (explicitOffer || !strings.HasSuffix(name, "explicit_offer")) {
			return name
		}
	}
	return f.ID
}

// claims are what each finding of doctor foretells. A finding without harm says nothing about sessions: a row must name it
// as advice.
var claims = map[string][]harm{
	"address-family": {showsDenied},
	"address-family in smtpd_discard_ehlo_keyword_address_maps": {failsNow},
	"address-family in smtpd_sender_restrictions":               nil,
	"legacy-library":                              {lacksOld},
	"legacy-needless":                             {oldForAll},
	"legacy-no-redirect":                          {lacksOld},
	"legacy-refused":                              {lacksOld, refusesOld},
	"legacy-strict":                               {lacksOld},
	"legacy-unserved":                             {lacksOld},
	"list-forbidden":                              {showsDenied},
	"other-instances":                             nil,
	"resolver-silent":                             nil,
	"running-differs":                             {showsDenied},
	"suppress-behind-dns":                         {showsDenied}, // while DNS fails, as it does in every row
	"map-shadowed":                                {showsDenied},
	"port-not-queried":                            {showsDenied},
	"addresses-never-queried":                     {showsDenied},
	"auth-queries":                                {exposesLogin},
	"auth-not-offered":                            nil,
	"submission-map":                              {showsDenied},
	"submission-not-queried":                      nil,
	"backup-needs-daemon":                         {failsDown, failsHung},
	"backup-suppresses":                           {hidesEdited},
	"backup-unreadable with explicit_offer":       {failsDown, failsHung},
	"table-behind with explicit_offer":            {hidesDown},
	"wrong-listener in smtpd_sender_restrictions": nil,
	"backup-unreadable":                           {failsNow},
	"bad-address":                                 {failsNow},
	"bad-attribute":                               {failsNow},
	"ehlogate-not-queried":                        {showsDenied},
	"exim-slow":                                   {waitsHung},
	"exim-no-shutdown":                            {showsDenied},
	"harm-while-down":                             {hidesDown},
	"hides-nothing":                               {showsDenied},
	"filter-never-queries":                        {showsDenied},
	"key-digest":                                  {showsDenied},
	"key-format":                                  {showsDenied},
	"keywords-extra":                              {addsKeywords},
	"keywords-lost":                               {losesKeywords},
	"localhost":                                   nil,
	"map-refuses":                                 {failsDown, failsHung},
	"memcache-bad-number":                         {failsNow},
	"memcache-file-unreadable":                    {failsNow},
	"memcache-no-backup":                          {failsDown, failsHung},
	"memcache-slow":                               {failsHung},
	"milter-default-action":                       {failsDown, failsHung},
	"milter-skipped":                              {lacksTLS},
	"milter-slow":                                 {failsHung},
	"never-queried":                               nil,
	"no-starttls":                                 {hidesAllowed},
	"not-our-address":                             nil,
	"other-program-answers":                       {showsDenied},
	"policy-default-action":                       {failsDown, failsHung},
	"policy-skipped":                              {lacksTLS},
	"policy-slow":                                 {failsHung},
	"postscreen-inherits":                         {failsHung},
	"postscreen-offers":                           {showsDenied},
	"postscreen-queries":                          {failsHung},
	"proxy-not-approved":                          {failsNow},
	"proxy-waits":                                 nil, // many clients at a time

	"require-unenforced":                            {lacksTLS},
	"sendmail-local-socket":                         nil,
	"sendmail-map-name":                             {showsDenied},
	"sendmail-milter-slow":                          {waitsHung},
	"sendmail-slow":                                 {waitsHung},
	"sendmail-wrong-listener":                       {failsNow},
	"setting-replaced":                              nil,
	"socket-outside-jail":                           {showsDenied},
	"socketmap-name":                                {showsDenied},
	"socket-forbidden":                              {showsDenied},
	"socket-forbidden in smtpd_sender_restrictions": {lacksTLS},
	"socket-forbidden in smtpd_milters":             {lacksTLS},
	"socket-forbidden in smtpd_discard_ehlo_keyword_address_maps": {failsNow},
	"table-hides-offered":                           {hidesAllowed},
	"no-starttls in postscreen_bare_newline_enable": {hidesAllowed},
	"starttls-hidden-from-all":                      {hidesAllowed},
	"submission-queries":                            {hidesLogin},
	"table-behind":                                  {hidesAllowed},
	"table-lacks-addresses":                         {hidesAllowed},
	"table-lacks-networks":                          {showsDenied},
	"table-lacks-networks in backup":                {showsDown},
	"database-behind":                               {hidesAllowed},
	"table-unreadable":                              {failsNow},
	"table-wrong-type in backup":                    {showsDown},
	"table-wrong-type":                              {showsDenied},
	"tls-required":                                  {needsTLS},
	"unreachable":                                   {showsDenied},
	"wrong-listener":                                {showsDenied},
}
