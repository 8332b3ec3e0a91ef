package mtatest_test

// harm is what a mail server can do to its clients that its operator does not want.
type harm string

const (
	showsDenied   harm = "offers STARTTLS to a suppressed client"
	hidesAllowed  harm = "hides STARTTLS from a client that may have it"
	hidesDown     harm = "hides STARTTLS from a client that may have it, while ehlogate is down"
	hidesLogin    harm = "hides STARTTLS on submission"
	exposesLogin  harm = "suppresses a client that can log in"
	losesKeywords harm = "offers a suppressed client what it hides from all others"
	addsKeywords  harm = "hides from a suppressed client what it offers to all others"
	needsTLS      harm = "refuses mail of a suppressed client: TLS is required"
	lacksTLS      harm = "takes mail without TLS from a client that must use it"
	failsNow      harm = "refuses mail"
	failsDown     harm = "refuses mail while ehlogate is down"
	failsHung     harm = "refuses mail, or is slow, while ehlogate hangs"
)

// claims are what each finding of doctor foretells. A finding without harm says nothing about sessions: a row must name it
// as advice.
var claims = map[string][]harm{
	"addresses-never-queried":  {showsDenied},
	"auth-queries":             {exposesLogin},
	"backup-inline-empty":      {failsNow, failsDown, failsHung},
	"backup-needs-daemon":      {failsDown},
	"backup-suppresses":        {hidesAllowed},
	"backup-unreadable":        {failsNow, failsDown, failsHung},
	"bad-address":              {failsNow, failsDown, failsHung},
	"bad-attribute":            {failsNow, failsDown, failsHung},
	"ehlogate-not-queried":     {showsDenied},
	"filter-never-queries":     {showsDenied},
	"key-digest":               {showsDenied},
	"key-format":               {showsDenied},
	"keywords-extra":           {addsKeywords},
	"keywords-lost":            {losesKeywords},
	"localhost":                nil,
	"map-refuses":              {failsDown, failsHung},
	"memcache-bad-number":      {failsNow, failsDown, failsHung},
	"memcache-file-unreadable": {failsNow, failsDown, failsHung},
	"memcache-no-backup":       {failsDown, failsHung},
	"memcache-slow":            {failsHung},
	"milter-default-action":    {failsDown, failsHung},
	"milter-skipped":           {lacksTLS},
	"milter-slow":              {failsHung},
	"never-queried":            nil,
	"no-starttls":              {hidesAllowed},
	"not-our-address":          nil,
	"other-program-answers":    {showsDenied},
	"policy-default-action":    {failsDown, failsHung},
	"policy-skipped":           {lacksTLS},
	"policy-slow":              {failsHung},
	"postscreen-inherits":      {failsHung},
	"postscreen-offers":        {showsDenied},
	"postscreen-queries":       {failsHung},
	"proxy-not-approved":       {failsNow, failsDown, failsHung},
	"proxy-waits":              {failsHung},
	"queried-twice":            nil,
	"require-unenforced":       {lacksTLS},
	"setting-replaced":         nil,
	"socket-outside-jail":      {showsDenied},
	"socketmap-name":           {showsDenied},
	"starttls-hidden-from-all": {hidesAllowed},
	"submission-queries":       {hidesLogin},
	"table-behind":             {hidesDown},
	"table-unreadable":         {failsNow, failsDown, failsHung},
	"tls-required":             {needsTLS},
	"unreachable":              {showsDenied},
	"wrong-listener":           {showsDenied},
}
