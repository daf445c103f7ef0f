package vigil

import (
	"math"
	"reflect"
	"testing"
)

func TestPolicyValidateNamesTheField(t *testing.T) {
	tests := []struct {
		field string
		spoil func(*Policy)
	}{
		{"", func(*Policy) {}},
		{"", func(p *Policy) { p.Attention = 0.1 }},
		{"", func(p *Policy) { p.Attention = 1 }},
		{"attention", func(p *Policy) { p.Attention = 0.09 }},
		{"attention", func(p *Policy) { p.Attention = 1.01 }},
		{"attention", func(p *Policy) { p.Attention = math.NaN() }},
		{"link_loss", func(p *Policy) { p.LinkLoss = "" }},
		{"link_loss", func(p *Policy) { p.LinkLoss = "always" }},
		{"", func(p *Policy) { p.LinkLoss = LinkLossNever }},
		{"", func(p *Policy) { p.LostTimeCap = 0 }},
		{"", func(p *Policy) { p.LostTimeCap = 240 }},
		{"lost_time_cap", func(p *Policy) { p.LostTimeCap = -1 }},
		{"lost_time_cap", func(p *Policy) { p.LostTimeCap = 241 }},
		{"", func(p *Policy) { p.DurationMinutes = 10080 }},
		{"duration_minutes", func(p *Policy) { p.DurationMinutes = -1 }},
		{"duration_minutes", func(p *Policy) { p.DurationMinutes = 10081 }},
		{"", func(p *Policy) { p.Watch = nil }},
		{"", func(p *Policy) { p.Watch = []Watch{WatchIdle} }},
		{"watch", func(p *Policy) { p.Watch = []Watch{"camera"} }},
		{"watch", func(p *Policy) { p.Watch = []Watch{WatchIdle, WatchIdle} }},
		{"", func(p *Policy) { p.Retention = Retention{1, 1, 1, 3650} }},
		{"retention.signals", func(p *Policy) { p.Retention.Signals = 0 }},
		{"retention.chat", func(p *Policy) { p.Retention.Chat = -1 }},
		{"retention.sessions", func(p *Policy) { p.Retention.Sessions = 3651 }},
		{"retention.audit", func(p *Policy) { p.Retention.Audit = 0 }},
	}
	for i, tt := range tests {
		p := DefaultPolicy()
		tt.spoil(&p)
		if got := fieldOf(p.Validate()); got != tt.field {
			t.Errorf("row %d: got field %q, want %q", i, got, tt.field)
		}
	}
	if fieldOf(Policy{}.Validate()) == "" {
		t.Error("the zero value passes for a policy")
	}
}

func TestDefaultPoliciesShareNothing(t *testing.T) {
	p := DefaultPolicy()
	p.Watch[0] = "spoilt"
	if got := DefaultPolicy().Watch[0]; got != AllWatches[0] || got != WatchFocus {
		t.Errorf("got %q, want %q", got, WatchFocus)
	}
}

func TestParseSettings(t *testing.T) {
	custom := DefaultPolicy()
	custom.Admission, custom.LostTimeCap, custom.Watch, custom.Retention.Chat = true, 30, []Watch{WatchFocus}, 7
	plain := DefaultPolicy()
	tests := []struct {
		name, data string
		want       Settings
		field      string
	}{
		{"nothing", ``, Settings{}, ""},
		{"another tool's", `{"secure_browser":true}`, Settings{}, ""},
		{"not JSON", `level=high`, Settings{}, ""},
		{"not an object", `[1,2]`, Settings{}, ""},
		{"version 0", `{"vigil":0}`, Settings{}, ""},
		{"a version that is no number", `{"vigil":"1"}`, Settings{}, ""},
		{"no policy", `{"vigil":1}`, Settings{Plugin: 1}, ""},
		{"null policy", `{"vigil":1,"policy":null}`, Settings{Plugin: 1}, ""},
		{"an empty policy keeps the defaults", `{"vigil":1,"policy":{}}`, Settings{Plugin: 1, Policy: &plain}, ""},
		{"some fields", `{"vigil":1,"policy":{"admission":true,"lost_time_cap":30,"watch":["focus"],"retention":{"chat":7},"later":1}}`, Settings{Plugin: 1, Policy: &custom}, ""},
		{"a policy that is none", `{"vigil":1,"policy":[]}`, Settings{}, "policy"},
		{"a field of another type", `{"vigil":1,"policy":{"pause":"yes"}}`, Settings{}, "policy"},
		{"out of range", `{"vigil":1,"policy":{"attention":7}}`, Settings{}, "attention"},
	}
	for _, tt := range tests {
		got, err := ParseSettings(tt.data)
		if !reflect.DeepEqual(got, tt.want) || fieldOf(err) != tt.field {
			t.Errorf("%s: got %+v, %v, want %+v, field %q", tt.name, got, err, tt.want, tt.field)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"vigil":1}`, `{"vigil":1,"policy":{"attention":0.5,"watch":["idle","idle"]}}`, `{"vigil":1,"policy":{"watch":null}}`, `{"vigil":9e99}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		s, err := ParseSettings(data)
		switch {
		case err != nil && (fieldOf(err) == "?" || s != Settings{}):
			t.Fatalf("got %+v, %v, want nothing and a field at fault", s, err)
		case s.Policy != nil && (s.Plugin == 0 || s.Policy.Validate() != nil):
			t.Fatalf("let through %+v: %v", *s.Policy, s.Policy.Validate())
		}
	})
}
