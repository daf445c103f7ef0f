package lms

import (
	"net/url"
	"slices"
	"strings"
)

const (
	quizTitle = "Midterm: The living cell"
	quizIntro = "Six questions on three pages. You have 30 minutes from the start; your answers are saved at each page turn and once a minute."
)

// kind is how a question is answered.
type kind string

const (
	single kind = "single"
	multi  kind = "multi"
	short  kind = "short"
	essay  kind = "essay"
)

// question is one of the quiz.
type question struct {
	Name    string // of its field
	Number  int
	Kind    kind
	Text    string
	Options []string
}

// quiz is the demo's quiz, page by page.
var quiz = [][]question{
	{
		{Name: "q1", Number: 1, Kind: single, Text: "Which part of an animal cell makes most of its ATP?", Options: []string{"The nucleus", "The mitochondria", "The Golgi apparatus", "The ribosomes"}},
		{Name: "q2", Number: 2, Kind: multi, Text: "Which of these has a plant cell, but not an animal cell? Choose all that apply.", Options: []string{"A cell wall", "A cell membrane", "Chloroplasts", "A large central vacuole"}},
	},
	{
		{Name: "q3", Number: 3, Kind: short, Text: "What is the diffusion of water through a membrane called?"},
		{Name: "q4", Number: 4, Kind: single, Text: "In which phase of mitosis do the chromosomes line up in the middle of the cell?", Options: []string{"Prophase", "Metaphase", "Anaphase", "Telophase"}},
	},
	{
		{Name: "q5", Number: 5, Kind: essay, Text: "Why does an enzyme work well at one temperature and badly at others? Explain in a few sentences of your own."},
		{Name: "q6", Number: 6, Kind: single, Text: "Which base pairs with adenine in DNA?", Options: []string{"Cytosine", "Guanine", "Thymine", "Uracil"}},
	},
}

// answers are what a student has answered, by the question's name.
type answers map[string][]string

// maxAnswer bounds one answer.
const maxAnswer = 20_000

// take puts the answers of one page's form over those that are there. A page's
// question that the form leaves out is unanswered; other pages' stay.
func (a answers) take(pageNumber int, form url.Values) {
	if pageNumber < 0 || pageNumber >= len(quiz) {
		return
	}
	for _, q := range quiz[pageNumber] {
		delete(a, q.Name)
		var values []string
		for _, v := range form[q.Name] {
			if v = strings.TrimSpace(v); v == "" || len(v) > maxAnswer {
				continue
			}
			if len(q.Options) > 0 && !slices.Contains(q.Options, v) {
				continue
			}
			values = append(values, v)
		}
		if q.Kind != multi && len(values) > 1 {
			values = values[:1]
		}
		if len(values) > 0 {
			a[q.Name] = values
		}
	}
}

// shown is a question with its answer, for a page.
type shown struct {
	question
	Page   int
	Values []string
}

// Has tells whether an option is chosen.
func (s shown) Has(option string) bool { return slices.Contains(s.Values, option) }

// Value is the answer as text.
func (s shown) Value() string { return strings.Join(s.Values, ", ") }

// questions are those of a page, or of every page when pageNumber is −1.
func questions(pageNumber int, a answers) []shown {
	var out []shown
	for n, qs := range quiz {
		for _, q := range qs {
			if pageNumber < 0 || n == pageNumber {
				out = append(out, shown{question: q, Page: n, Values: a[q.Name]})
			}
		}
	}
	return out
}
