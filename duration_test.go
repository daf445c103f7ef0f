package vigil_test

import (
	"testing"
	"time"

	"vigil"
)

func TestASpanIsWrittenToThePrecisionThatMatters(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                     "0s",
		1499 * time.Nanosecond:                "1µs",
		1500 * time.Millisecond:               "1.5s",
		1234567 * time.Microsecond:            "1.235s",
		-1500 * time.Millisecond:              "-1.5s",
		90*time.Second + 400*time.Millisecond: "1m30s",
		time.Minute:                           "1m",
		10 * time.Minute:                      "10m",
		2 * time.Hour:                         "2h",
		2*time.Hour + 30*time.Minute:          "2h30m",
		2*time.Hour + time.Second:             "2h0m1s",
		59*time.Second + 999*time.Millisecond + 600*time.Microsecond: "1m",
	} {
		if got := vigil.Span(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
}
