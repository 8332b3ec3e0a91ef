package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// raw is the document as the TOML library decodes it. Values are checked afterwards, so that every wrong one is reported.
type raw struct {
	Mode          *string     `toml:"mode"`
	Default       *string     `toml:"default"`
	AlwaysHide    []string    `toml:"always_hide"`
	ExplicitOffer bool        `toml:"explicit_offer"`
	RequireReply  *string     `toml:"require_reply"`
	MaxEntries    *int        `toml:"max_entries"`
	Policy        rawPolicy   `toml:"policy"`
	Milter        rawMilter   `toml:"milter"`
	Listen        *rawListen  `toml:"listen"`
	HTTP          rawHTTP     `toml:"http"`
	Log           rawLog      `toml:"log"`
	DNS           rawDNS      `toml:"dns"`
	Limit         *rawLimit   `toml:"limit"`
	Guard         rawGuard    `toml:"guard"`
	Logs          rawLogs     `toml:"logs"`
	Learn         rawLearn    `toml:"learn"`
	Fallback      rawFallback `toml:"fallback"`
	Earned        rawEarned   `toml:"earned"`
	TLSRPT        rawTLSRPT   `toml:"tlsrpt"`
	Edits         rawEdits    `toml:"edits"`
	List          []rawList   `toml:"list"`
}

// digest returns a hash of the values in a document. What a document does not have is not in it, so that versions with other
// keys agree on it.
func digest(data []byte) string {
	var values map[string]any
	err := toml.Unmarshal(data, &values)
	text, failed := json.Marshal(values)
	if err = cmp.Or(err, failed); err != nil {
		text = []byte(err.Error()) // no value of TOML but inf and nan, which no key takes
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

type rawListen struct {
	Memcache       []string `toml:"memcache"`
	Socketmap      []string `toml:"socketmap"`
	TCPTable       []string `toml:"tcp_table"`
	Policy         []string `toml:"policy"`
	Milter         []string `toml:"milter"`
	HTTP           []string `toml:"http"`
	SocketGroup    string   `toml:"socket_group"`
	SocketMode     *string  `toml:"socket_mode"`
	MaxConnections *int     `toml:"max_connections"`
}

type rawHTTP struct {
	Hosts []string `toml:"hosts"`
}

type rawPolicy struct {
	Suppressed          *string `toml:"suppressed"`
	SuppressedEncrypted *string `toml:"suppressed_encrypted"`
	RequireUnmet        *string `toml:"require_unmet"`
}

type rawMilter struct {
	AddHeader bool `toml:"add_header"`
}

type rawLog struct {
	Level  *string `toml:"level"`
	Format *string `toml:"format"`
}

type rawList struct {
	Name      *string  `toml:"name"`
	Action    *string  `toml:"action"`
	Mode      *string  `toml:"mode"`
	Hide      []string `toml:"hide"`
	Services  []string `toml:"services"`
	Files     []string `toml:"files"`
	AllowWide bool     `toml:"allow_wide"`
	Learn     *string  `toml:"learn"`

	Format      *string  `toml:"format"`
	Results     []string `toml:"results"`
	Answer      *string  `toml:"answer"`
	MinEntries  *int     `toml:"min_entries"`
	ExpireAfter *string  `toml:"expire_after"`

	Zones     []rawZone `toml:"zones"`
	Threshold *int      `toml:"threshold"`
}

type rawDNS struct {
	Resolvers    []string `toml:"resolvers"`
	Wait         *string  `toml:"wait"`
	Timeout      *string  `toml:"timeout"`
	VerifyNames  bool     `toml:"verify_names"`
	MaxLookups   *int     `toml:"max_lookups"`
	CacheEntries *int     `toml:"cache_entries"`
	MinTTL       *string  `toml:"min_ttl"`
	MaxTTL       *string  `toml:"max_ttl"`
	Stale        *string  `toml:"stale"`
}

type rawLimit struct {
	OffersPerSecond *float64 `toml:"offers_per_second"`
	CPUPressure     *string  `toml:"cpu_pressure"`
	PressureFile    *string  `toml:"pressure_file"`
	Keep            *string  `toml:"keep"`
}

type rawGuard struct {
	Domains []string `toml:"domains"`
	Off     bool     `toml:"off"`
	State   *string  `toml:"state"`
}

type rawLogs struct {
	Files   []string `toml:"files"`
	Journal bool     `toml:"journal"`
	Socket  *string  `toml:"socket"`
	State   *string  `toml:"state"`
}

type rawTLSRPT struct {
	State *string `toml:"state"`
}

type rawEdits struct {
	Journal *string `toml:"journal"`
	Used    *string `toml:"used"`
}

type rawZone struct {
	Zone        *string `toml:"zone"`
	Name        *string `toml:"name"`
	By          *string `toml:"by"`
	Answer      *string `toml:"answer"`
	Weight      *int    `toml:"weight"`
	HealthCheck *bool   `toml:"health_check"`
}

type rawLearn struct {
	State *string  `toml:"state"`
	Never []string `toml:"never"`
}

type rawFallback struct {
	Sessions       *int     `toml:"sessions"`
	Spacing        *string  `toml:"spacing"`
	Span           *string  `toml:"span"`
	MaxAge         *string  `toml:"max_age"`
	LeaveAlone     *string  `toml:"leave_alone"`
	Immunity       *string  `toml:"immunity"`
	Neighbors      *string  `toml:"neighbors"`
	Life           *string  `toml:"life"`
	MaxLife        *string  `toml:"max_life"`
	TotalLife      *string  `toml:"total_life"`
	ProbeSessions  *int     `toml:"probe_sessions"`
	ProbeAfter     *string  `toml:"probe_after"`
	UnusedSessions *int     `toml:"unused_sessions"`
	MaxShare       *float64 `toml:"max_share"`
	MinSessions    *int     `toml:"min_sessions"`
	MaxEntries     *int     `toml:"max_entries"`
	BreakerClients *int     `toml:"breaker_clients"`
	BreakerShare   *float64 `toml:"breaker_share"`
	BreakerSpan    *string  `toml:"breaker_span"`
	Rest           *string  `toml:"rest"`
	ObserveFor     *string  `toml:"observe_for"`
	Watch          []string `toml:"watch"`
}

type rawEarned struct {
	Days       *int     `toml:"days"`
	Of         *string  `toml:"of"`
	Sessions   *int     `toml:"sessions"`
	MaxRejects *float64 `toml:"max_rejects"`
	Keep       *string  `toml:"keep"`
	MaxClients *int     `toml:"max_clients"`
}
