package httpapi

import (
	"time"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/tlsrpt"
)

// reportsHealth is what TLS reports tell of mail that lists kept from being sent.
type reportsHealth struct {
	Findings []tlsrpt.Finding `json:"findings"`
	Error    string           `json:"error,omitempty"`
	Since    time.Time        `json:"since,omitzero"` // of the error
}

// newReportsHealth returns nil if all is well.
func newReportsHealth(r *state.TLSReports) *reportsHealth {
	if r == nil {
		return nil
	}
	found, fault := r.Suppressed(), r.Health()
	if len(found) == 0 && !fault.IsDegraded() {
		return nil
	}
	return &reportsHealth{found, fault.Error, fault.Since}
}
