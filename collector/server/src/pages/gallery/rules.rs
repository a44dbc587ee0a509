//! What must be true of every page, whatever it shows.

use std::collections::BTreeSet;

use scraper::{ElementRef, Html, Selector};

use super::{all, host};
use crate::pages::{CONTENT_SECURITY_POLICY, asset};
use askama::Template;

const PAGE_BYTES_MAX: usize = 60 * 1024;
const STYLE_BYTES_MAX: usize = 24 * 1024;
const SCRIPT_BYTES_MAX: usize = 10 * 1024;

fn select<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().trim().to_owned()
}

fn parsed() -> Vec<(&'static str, Html)> {
    all()
        .into_iter()
        .map(|(name, html)| (name, Html::parse_document(&html)))
        .collect()
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(all(), all());
}

#[test]
fn every_page_is_well_formed() {
    for (name, page) in parsed() {
        assert_eq!(page.errors, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    for (name, page) in parsed() {
        assert!(
            select(&page, "[style], style").is_empty(),
            "{name}: inline style"
        );
        for script in select(&page, "script") {
            assert_eq!(text(script), "", "{name}: inline script");
            assert_eq!(script.attr("src"), Some(asset::script_href()), "{name}");
        }
        for element in select(&page, "*") {
            for (attribute, value) in element.value().attrs() {
                assert!(!attribute.starts_with("on"), "{name}: handler {attribute}");
                if matches!(attribute, "href" | "src" | "action") {
                    let own = value.starts_with('/') || value.starts_with('#');
                    assert!(own && !value.starts_with("//"), "{name}: {value}");
                }
            }
        }
    }
}

#[test]
fn a_hostile_host_name_stays_text() {
    for (name, html) in all() {
        assert!(!html.contains("<script>"), "{name}");
        assert!(!html.contains("<b>bold"), "{name}");
    }
    let page = Html::parse_document(&host::hosts(6).render().unwrap());
    let names: Vec<String> = select(&page, ".hosts td:first-child a")
        .into_iter()
        .map(text)
        .collect();
    assert_eq!(names[5], "<script>alert(1)</script>\"'&");
}

#[test]
fn pages_styles_and_scripts_stay_within_their_budgets() {
    for (name, html) in all() {
        assert!(
            html.len() <= PAGE_BYTES_MAX,
            "{name} has {} bytes",
            html.len()
        );
    }
    assert!(
        asset::STYLE.body.len() <= STYLE_BYTES_MAX,
        "{}",
        asset::STYLE.body.len()
    );
    assert!(
        asset::SCRIPT.body.len() <= SCRIPT_BYTES_MAX,
        "{}",
        asset::SCRIPT.body.len()
    );
}

#[test]
fn headings_landmarks_and_languages_are_there() {
    for (name, page) in parsed() {
        assert_eq!(select(&page, "html[lang=en]").len(), 1, "{name}");
        assert_eq!(select(&page, "h1").len(), 1, "{name}: one h1");
        assert_eq!(select(&page, "main#main").len(), 1, "{name}: one main");
        assert!(
            !text(select(&page, "title")[0]).is_empty(),
            "{name}: a title"
        );
        let mut level = 1;
        for heading in select(&page, "h1, h2, h3, h4") {
            let next: usize = heading.value().name()[1..].parse().unwrap();
            assert!(
                next <= level + 1,
                "{name}: h{level} is followed by h{next} {:?}",
                text(heading)
            );
            assert!(!text(heading).is_empty(), "{name}: an empty heading");
            level = next;
        }
        if select(&page, ".bare").is_empty() {
            assert_eq!(select(&page, "a.skip[href='#main']").len(), 1, "{name}");
            assert_eq!(select(&page, "header.top").len(), 1, "{name}");
            assert_eq!(select(&page, "form[role=search]").len(), 1, "{name}");
            assert!(
                !select(&page, "form[method=post][action='/sign-out']").is_empty(),
                "{name}"
            );
            for nav in select(&page, "nav, main aside") {
                assert!(
                    nav.attr("aria-label").is_some(),
                    "{name}: a landmark without a name"
                );
            }
        }
    }
}

#[test]
fn fields_have_labels_and_ids_are_unique() {
    for (name, page) in parsed() {
        let mut ids = BTreeSet::new();
        for element in select(&page, "[id]") {
            let id = element.attr("id").unwrap();
            assert!(ids.insert(id), "{name}: {id} twice");
        }
        for field in select(&page, "input:not([type=hidden]), select") {
            let id = field.attr("id").unwrap();
            assert_eq!(
                select(&page, &format!("label[for='{id}']")).len(),
                1,
                "{name}: {id}"
            );
        }
        for used in select(&page, "[aria-labelledby], [aria-describedby]") {
            let refs = used
                .attr("aria-labelledby")
                .or(used.attr("aria-describedby"))
                .unwrap();
            for id in refs.split(' ') {
                assert!(ids.contains(id), "{name}: nothing has the id {id}");
            }
        }
        for shape in select(&page, "use") {
            let id = shape.attr("href").unwrap().trim_start_matches('#');
            assert!(ids.contains(id), "{name}: no shape {id}");
        }
    }
}

#[test]
fn tables_have_heads_and_every_cell_knows_its_column_on_a_phone() {
    for (name, page) in parsed() {
        for table in select(&page, "main table:not(.flat)") {
            let heads = table
                .select(&Selector::parse("thead th[scope=col]").unwrap())
                .count();
            for row in table.select(&Selector::parse("tbody tr").unwrap()) {
                let cells: Vec<_> = row.select(&Selector::parse("td").unwrap()).collect();
                assert_eq!(cells.len(), heads, "{name}");
                assert!(
                    cells
                        .iter()
                        .skip(1)
                        .all(|cell| cell.attr("data-l").is_some()),
                    "{name}"
                );
            }
        }
        for drawing in select(&page, "svg:not([aria-hidden])") {
            let inside = drawing
                .ancestors()
                .filter_map(ElementRef::wrap)
                .any(|above| above.value().name() == "svg");
            assert!(
                inside
                    || (drawing.attr("role") == Some("img")
                        && (drawing.attr("aria-label").is_some()
                            || drawing.attr("aria-labelledby").is_some())),
                "{name}: a drawing without words"
            );
        }
    }
}

#[test]
fn a_status_is_a_shape_and_a_word() {
    let page = Html::parse_document(&host::host().render().unwrap());
    for status in select(&page, ".st") {
        assert_eq!(
            status.select(&Selector::parse("svg use").unwrap()).count(),
            1
        );
        assert!(!text(status).is_empty());
    }
}

#[test]
fn sign_in_asks_for_a_name_and_a_password_and_tells_nothing() {
    let page = Html::parse_document(&super::sign_in().render().unwrap());
    let fields: Vec<_> = select(&page, "input")
        .into_iter()
        .filter_map(|field| field.attr("name"))
        .collect();
    assert_eq!(fields, ["name", "password", "next"]);
    assert_eq!(
        text(select(&page, "[role=alert]")[0]),
        "Name or password is not right."
    );
}
