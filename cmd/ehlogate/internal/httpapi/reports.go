package httpapi

import (
	"time"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/tlsrpt"
)

// ReportsHealth is what TLS reports tell of mail that lists kept from being sent.
type ReportsHealth struct {
	Findings []tlsrpt.Finding `json:"findings"`
	Error    string           `json:"error,omitempty"`
	Since    time.Time        `json:"since,omitzero"` // of the error
}

// newReportsHealth returns nil if all is well.
func newReportsHealth(r *state.TLSReports) *ReportsHealth {
	if r == nil {
		return nil
	}
	found, fault := r.Suppressed(), r.Health()
	if len(found) == 0 && !fault.IsDegraded() {
		return nil
	}
	return &ReportsHealth{found, fault.Error, fault.Since}
}
