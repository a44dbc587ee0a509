//! Contrast of the style sheet's tokens in both themes, by WCAG 2.2's relative luminance.

use crate::pages::asset;

/// Luminance of the token in the light and in the dark theme.
fn token(name: &str) -> [f64; 2] {
    let start = format!("  --{name}: light-dark(");
    let rest = asset::STYLE.body.split_once(&start).unwrap().1;
    let (light, rest) = rest.split_once("), ").unwrap();
    let dark = rest.split_once("))").unwrap().0;
    [light, dark].map(|colour| luminance(colour.strip_prefix("oklch(").unwrap()))
}

/// Relative luminance of `L% C H` in OKLCH, by way of linear sRGB cut to its gamut.
fn luminance(oklch: &str) -> f64 {
    let parts: Vec<f64> = oklch
        .split(' ')
        .map(|part| part.trim_end_matches('%').parse().unwrap())
        .collect();
    let (l, c, h) = (parts[0] / 100.0, parts[1], parts[2].to_radians());
    let (a, b) = (c * h.cos(), c * h.sin());
    let long = (l + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let medium = (l - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let short = (l - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    let red = 4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short;
    let green = -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short;
    let blue = -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701 * short;
    0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0)
}

fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[track_caller]
fn assert_contrast(front: &str, back: &str, least: f64) {
    for (theme, (one, other)) in ["light", "dark"]
        .iter()
        .zip(token(front).into_iter().zip(token(back)))
    {
        let ratio = contrast(one, other);
        assert!(
            ratio >= least,
            "{front} on {back} in {theme}: {ratio:.2} is below {least}"
        );
    }
}

#[test]
fn black_on_white_is_twenty_one_to_one() {
    assert!((contrast(luminance("0% 0 0"), luminance("100% 0 0")) - 21.0).abs() < 0.01);
    // sRGB red has the luminance 0.2126
    assert!((luminance("62.8% 0.2577 29.23") - 0.2126).abs() < 0.002);
}

#[test]
fn text_has_contrast_in_both_themes() {
    for tone in [
        "ink", "quiet", "link", "pass", "fail", "warn", "error", "excepted",
    ] {
        for back in ["ground", "panel", "sunk"] {
            assert_contrast(tone, back, 4.5);
        }
    }
    assert_contrast("fail", "w-fail", 4.5);
    assert_contrast("warn", "w-warn", 4.5);
    assert_contrast("link", "w-link", 4.5);
}

#[test]
fn pass_and_fail_differ_in_lightness_for_people_who_see_no_red_or_green() {
    assert_contrast("b-fail", "b-pass", 1.7);
}

#[test]
fn marks_and_bars_have_contrast_in_both_themes() {
    for tone in ["b-pass", "b-fail", "error", "excepted", "edge"] {
        for back in ["ground", "panel"] {
            assert_contrast(tone, back, 3.0);
        }
    }
}
