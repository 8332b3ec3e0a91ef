package httpapi

import (
	"net/http"

	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
)

// Learned is the reply of /api/v1/learned.
type Learned struct {
	Daemon running.Status `json:"daemon"`
	Lists  []LearnedList  `json:"lists"`
	learn.Report
}

// LearnedClient is the reply of /api/v1/learned/ADDR.
type LearnedClient struct {
	Daemon running.Status `json:"daemon"`
	Lists  []LearnedList  `json:"lists"`
	learn.ClientReport
}

// LearnedList is a list that learns.
type LearnedList struct {
	Name     string `json:"name"`
	Learn    string `json:"learn"`
	Action   string `json:"action"`
	Enforced bool   `json:"enforced"` // false: it observes
}

// DescribeLearnedLists returns the lists of a snapshot that learn.
func DescribeLearnedLists(s *state.Snapshot) (all []LearnedList) {
	for i := range s.Config.Lists {
		if l := &s.Config.Lists[i]; l.IsLearned() {
			all = append(all, LearnedList{l.Name, string(l.Learn), l.Action.String(), s.IsEnforced(i)})
		}
	}
	return all
}

// findLearning returns the service of lists that learn. It answers the request if there is none.
func (a *API) findLearning(w http.ResponseWriter) *learn.Service {
	s := a.Manager.Snapshot().Learn
	if s == nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": `no list learns: write learn = "fallback" or learn = "earned" in a [[list]]`})
	}
	return s
}

// serveLearned answers with what lists learned.
func (a *API) serveLearned(w http.ResponseWriter, r *http.Request) {
	if _, ok := parseQuery(w, r); !ok {
		return
	}
	s := a.findLearning(w)
	if s == nil {
		return
	}
	report, err := s.Report(r.Context())
	if err != nil {
		writeUnavailable(w, err)
		return
	}
	snapshot := a.Manager.Snapshot()
	writeJSON(w, http.StatusOK, Learned{a.Status(snapshot), DescribeLearnedLists(snapshot), report})
}

// serveLearnedClient answers with what lists learned of a client.
func (a *API) serveLearnedClient(w http.ResponseWriter, r *http.Request) {
	if _, ok := parseQuery(w, r); !ok {
		return
	}
	c, err := explain.ParseClient(r.PathValue("addr"), "", "")
	if err != nil {
		refuse(w, err.Error())
		return
	}
	s := a.findLearning(w)
	if s == nil {
		return
	}
	report, err := s.Client(r.Context(), c.Addr)
	if err != nil {
		writeUnavailable(w, err)
		return
	}
	snapshot := a.Manager.Snapshot()
	writeJSON(w, http.StatusOK, LearnedClient{a.Status(snapshot), DescribeLearnedLists(snapshot), report})
}

func writeUnavailable(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
}
