package listfile

import (
	"os"
	"testing"

	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetector()
	os.Exit(m.Run())
}
