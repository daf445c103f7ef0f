package socket_test

import (
	"fmt"
	"strings"
	"testing"

	"vigil/realtime/internal/docpage"
	"vigil/realtime/socket"
)

func TestThePageNamesTheRates(t *testing.T) {
	t.Parallel()
	rates := docpage.Section(t, "## Rates")
	for ty, r := range socket.DefaultRates() {
		want := fmt.Sprintf("`%s` %d, %v", ty, r.Burst, r.PerSecond)
		if ty == "" {
			want = fmt.Sprintf("others %d, %v", r.Burst, r.PerSecond)
		}
		if !strings.Contains(strings.Join(strings.Fields(rates), " "), want) {
			t.Errorf("docs/protocol.md does not say %q", want)
		}
	}
}
