//! Where cron finds what root has it run: tables (crontab(5)) and folders of scripts.

/// Root's tables, and folders of tables or scripts; Alpine's crond runs those of `/etc/periodic`.
pub(super) const OF_ROOT: [&str; 12] = [
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/periodic/hourly",
    "/etc/periodic/daily",
    "/etc/periodic/weekly",
    "/var/spool/cron/root",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/tabs/root",
    "/etc/crontabs/root",
];
