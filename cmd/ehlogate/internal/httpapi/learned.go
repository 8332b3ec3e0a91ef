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

func describeLists(s *state.Snapshot) (all []LearnedList) {
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
	writeJSON(w, http.StatusOK, Learned{a.status(snapshot), describeLists(snapshot), report})
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
	writeJSON(w, http.StatusOK, LearnedClient{a.status(snapshot), describeLists(snapshot), report})
}

func writeUnavailable(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
}

// addLearned adds the state of what is learned to the body of /healthz. It reports whether that is degraded.
func (a *API) addLearned(body map[string]any) (degraded bool) {
	snapshot := a.Manager.Snapshot()
	if snapshot.Learn == nil {
		return false
	}
	status, never := snapshot.Learn.Status(), snapshot.NeverHealth()
	body["learned"] = status
	if never.IsDegraded() {
		body["learn_never_error"], body["learn_never_error_since"] = never.Error, never.Since
	}
	return status.IsDegraded() || never.IsDegraded()
}
