package export

import (
	"testing"

	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetector()
	m.Run()
}
